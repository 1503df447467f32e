"""`python -m onlygood` is `onlygood`."""

from onlygood.cli import main

main()
