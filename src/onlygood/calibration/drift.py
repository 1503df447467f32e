"""Are today's good parts scoring like those of the calibration? A conformal test martingale, and a picture beside it.

Each new score is ranked among the calibration scores *and* the new scores before it. While all of them are
exchangeable, these ranks, with ties and the rank itself drawn at random, are independent and uniform: online conformal
p-values (Vovk, Gammerman, Shafer 2005, chapter 8). Ranks among a fixed calibration set would each be uniform, too, but
not independent, and what follows would not hold.

A player bets on the p-values against their being uniform: the Simple Jumper (Vovk et al. 2021, "Retrain or not
retrain"). The capital starts at 1 and, while the scores are exchangeable, is a nonnegative martingale. So the chance
that it *ever* reaches 1 / alpha is at most alpha (Ville 1939): looking after every part costs nothing.

Which parts count. Defects are no draws of the good parts, and those that are found score above the NG threshold. So
only scores strictly below the threshold are used, in the calibration as among the new ones. A threshold that is itself
one of the calibration scores leaves the scores strictly below it independent draws of the good parts below it, as the
new ones are; the score at the threshold is none, since it was chosen for its rank. Defects that slip below count as
good parts: a few change little, and a growing share of them raises the alarm, which is not false then. A shift that
lifts most parts above the threshold leaves little to test; the count of what was left out shows it at once.

What is not exact. The scores of a memory bank's calibration were made without the image's own patches, those of new
images with the whole bank: a little lower. With few training images that difference alone can be found to be a drift
(falling). Against the run's own first parts the test is exact in any case, therefore there are two: see `DriftTest`.
Images that show the same part twice are no separate draws: then neither holds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onlygood.errors import ParameterError

#: Shares of the capital that change their bet at each part. Much for changes that come soon, little for late ones:
#: capital that keeps betting on small or large p-values melts while nothing happens.
JUMPS = (1e-2, 1e-3, 1e-4)
#: A bet multiplies its capital by 1 + e (p - 1/2): on rising scores, on nothing, on falling ones.
BETS = (-1.0, 0.0, 1.0)
#: Parts of a run, at most; the next run starts with fresh capital.
MOST_PARTS = 5_000
#: Chance of a false alarm in a run, at most.
ALPHA = 0.01


class Jumper:
    """The capital of a player against uniform p-values: the mean of three Simple Jumpers, which differ in `JUMPS`.

    Args:
        shape: Of the p-values of one step; several games are played at once.
    """

    def __init__(self, shape: tuple[int, ...] = ()) -> None:
        n = len(JUMPS) * len(BETS)
        self._shares = np.full((*shape, n), 1 / n)  # of the whole, by jump, then bet
        self._bets = np.tile(BETS, len(JUMPS))
        # each player's shares go over to one another's bets: a matrix of blocks, one for each jump
        mixing = [(1 - jump) * np.eye(len(BETS)) + jump / len(BETS) for jump in JUMPS]
        self._mixed = np.zeros((n, n))
        for player, block in enumerate(mixing):
            own = slice(player * len(BETS), (player + 1) * len(BETS))
            self._mixed[own, own] = block
        self.log_capital: NDArray[np.float64] = np.zeros(shape)

    def step(self, p_values: ArrayLike) -> NDArray[np.float64]:
        """Bet, learn the next p-values `shape`, and return the logarithm of the capital, float64 `shape`."""
        centred = np.asarray(p_values, np.float64)[..., None] - 0.5
        shares = self._shares @ self._mixed * (1 + self._bets * centred)
        total = shares.sum(axis=-1)
        self._shares = shares / total[..., None]
        self.log_capital = self.log_capital + np.log(total)
        return self.log_capital

    @property
    def direction(self) -> NDArray[np.float64]:
        """Share of the capital on rising scores minus that on falling ones, in [-1, 1], float64 `shape`."""
        return np.asarray(-(self._shares @ self._bets))


class Ranks:
    """Online conformal p-values: each score's rank among the reference and the scores before it.

    Args:
        reference: Scores `(n,)` that came before; may be empty, then the first p-value is pure chance.
        seed: Of the random ranks.
    """

    def __init__(self, reference: ArrayLike = (), seed: int = 0) -> None:
        self._sorted: list[float] = np.sort(_checked(reference)).tolist()
        self._rng = np.random.default_rng(seed)

    def next(self, score: float) -> float:
        """The p-value in (0, 1) of the next score; small where it is high. It counts among the earlier ones then."""
        low, high = bisect_left(self._sorted, score), bisect_right(self._sorted, score)
        above, equal = len(self._sorted) - high, high - low + 1  # itself among the equal
        p = (above + float(self._rng.random()) * equal) / (len(self._sorted) + 1)
        insort(self._sorted, score)
        return p


@dataclass(frozen=True)
class Drift:
    """How a test stands.

    Attributes:
        parts: New scores used.
        capital: Of the player now; 1 at the start. Infinite beyond what a float holds.
        highest: It ever was.
        alarm_level: The capital that raises the alarm.
        alarm_at: Number of the part, counted from 1, that raised it; 0 without an alarm.
        direction: `rising`, `falling`, or empty without an alarm: which way the bets that won it went.
    """

    parts: int
    capital: float
    highest: float
    alarm_level: float
    alarm_at: int
    direction: str


class Martingale:
    """One test: are the new scores exchangeable with the reference and with each other?

    Args:
        reference: Scores `(n,)`.
        alpha: Chance of ever raising a false alarm, at most.
        seed: Of the random ranks.
    """

    def __init__(self, reference: ArrayLike = (), alpha: float = ALPHA, seed: int = 0) -> None:
        if not 0 < alpha < 1:
            raise ParameterError(f"alpha={alpha}: the chance of a false alarm lies between 0 and 1.")
        self._ranks, self._jumper, self._alarm = Ranks(reference, seed), Jumper(), -np.log(alpha)
        self._alarm_at, self._highest, self._direction = 0, 0.0, ""
        #: Logarithm of the capital after each part.
        self.path: list[float] = []

    def add(self, score: float) -> bool:
        """Look at the next part; whether it raises the alarm, which happens at most once."""
        log_capital = float(self._jumper.step(self._ranks.next(score)))
        self.path.append(log_capital)
        self._highest = max(self._highest, log_capital)
        if self._alarm_at or log_capital < self._alarm - 1e-12:
            return False
        self._alarm_at = len(self.path)
        self._direction = "rising" if self._jumper.direction > 0 else "falling"
        return True

    @property
    def state(self) -> Drift:
        """How it stands."""
        last = self.path[-1] if self.path else 0.0
        capital, highest, level = (float(np.exp(min(x, 709.0))) for x in (last, self._highest, self._alarm))
        return Drift(len(self.path), capital, highest, level, self._alarm_at, self._direction)


class DriftTest:
    """A run of the tests of one model at one threshold: against the calibration, and among the new parts themselves.

    The second one knows no calibration and asks whether the parts of the run are exchangeable with each other. It is
    exact whatever the method, and blind to a difference that is there from the first part on. Each of the two may
    raise a false alarm with a chance of alpha / 2, the run with alpha. With an alarm, or after `most` parts, the run
    is over: `add` takes nothing more, and a new one starts with capital 1. So the statement is one about each run.

    Args:
        calibration: Scores `(n,)` of the calibration, one of each group of near duplicates (`one_of_each`).
        threshold: The NG threshold; scores at or above it are left out on both sides.
        alpha: Chance of a false alarm in the run, at most.
        most: Parts of a run.
        seed: Of the random ranks.
    """

    def __init__(
        self,
        calibration: ArrayLike,
        threshold: float,
        *,
        alpha: float = ALPHA,
        most: int = MOST_PARTS,
        seed: int = 0,
    ) -> None:
        if np.isnan(threshold):
            raise ParameterError("The NG threshold is not a number.")
        if most < 1:
            raise ParameterError(f"most={most}: a run has at least 1 part.")
        self.threshold, self.alpha, self.most = float(threshold), alpha, most
        self.reference = below(calibration, threshold)
        self.against_calibration = Martingale(self.reference, alpha / 2, seed)
        self.against_start = Martingale((), alpha / 2, seed + 1)
        self.left_out = 0
        self._scores: list[float] = []

    def add(self, score: float) -> bool:
        """Look at the next part; whether it raises the alarm.

        Raises:
            ParameterError: The score is not a number.
        """
        if np.isnan(score):
            raise ParameterError("A score is not a number.")
        if self.over:
            return False
        if score >= self.threshold:
            self.left_out += 1
            return False
        self._scores.append(float(score))
        # with nothing to compare with both would be the same test
        first = len(self.reference) > 0 and self.against_calibration.add(score)
        return self.against_start.add(score) or first

    @property
    def scores(self) -> NDArray[np.float64]:
        """New scores used so far, float64 `(parts,)`."""
        return np.asarray(self._scores, np.float64)

    @property
    def alarm(self) -> str:
        """Which test raised the alarm: `calibration`, `start`, or empty."""
        if self.against_calibration.state.alarm_at:
            return "calibration"
        return "start" if self.against_start.state.alarm_at else ""

    @property
    def over(self) -> bool:
        """Whether the run takes no further parts."""
        return bool(self.alarm) or len(self._scores) >= self.most


def below(scores: ArrayLike, threshold: float) -> NDArray[np.float64]:
    """The scores strictly below the threshold, in their order, float64 `(m,)`."""
    values = _checked(scores)
    return values[values < threshold]


def one_of_each(scores: ArrayLike, groups: ArrayLike, seed: int = 0) -> NDArray[np.float64]:
    """One score of each group of near duplicates, drawn at random: a group counts once.

    Drawn rather than averaged: a mean scatters less than the score of a new part does.

    Args:
        scores: `(n,)`.
        groups: Group number of each `(n,)`.
        seed: Of the draws.

    Returns:
        float64 `(number of groups,)`.

    Raises:
        ParameterError: Lengths differ.
    """
    values, names = _checked(scores), np.asarray(groups).ravel()
    if len(values) != len(names):
        raise ParameterError(f"There are {len(values)} scores and {len(names)} group numbers.")
    order = np.random.default_rng(seed).permutation(len(values))
    return values[np.sort(order[np.unique(names[order], return_index=True)[1]])]


@dataclass(frozen=True)
class Comparison:
    """Two samples side by side.

    Attributes:
        distance: Kolmogorov-Smirnov: greatest distance between the two distribution functions, in [0, 1].
        p_value: Chance of one at least as great between two samples of one distribution; 1 if one of them is empty.
        higher: Share of pairs in which the second sample's score is the higher one, ties half: 0.5 if they are alike.
    """

    distance: float
    p_value: float
    higher: float


def compare(first: ArrayLike, second: ArrayLike) -> Comparison:
    """Two-sample Kolmogorov-Smirnov test, for the picture.

    The p-value is exact for scores without ties, and too large, if anything, with ties. It holds for one look; looked
    at again and again it will some day be small: the alarm is the martingale's.

    Args:
        first: Scores `(m,)`.
        second: Scores `(n,)`.
    """
    a, b = np.sort(_checked(first)), np.sort(_checked(second))
    m, n = len(a), len(b)
    if not m or not n:
        return Comparison(0.0, 1.0, 0.5)
    places = np.concatenate([a, b])
    gaps = np.searchsorted(a, places, "right") * n - np.searchsorted(b, places, "right") * m
    reached = int(np.abs(gaps).max())
    lower = np.searchsorted(a, b, "left").sum() + np.searchsorted(a, b, "right").sum()
    return Comparison(reached / (m * n), _chance_of(reached, m, n), float(lower / (2 * m * n)))


def _chance_of(reached: int, m: int, n: int) -> float:
    """Share of the orders of m and n scores whose distance times m n is at least `reached`.

    An order is a path of steps from (0, 0) to (m, n). `inside` is the share of paths to each (i, j) that stay nearer
    to the diagonal, carried along one step for all i at once (Hodges 1958).
    """
    if reached == 0:
        return 1.0
    i = np.arange(m + 1)
    inside = np.zeros(m + 1)
    inside[0] = 1.0
    for step in range(1, m + n + 1):
        j = step - i
        came = np.concatenate([[0.0], inside[:-1]]) * i + inside * np.maximum(j, 0)
        inside = np.where((j >= 0) & (j <= n) & (np.abs(i * n - j * m) < reached), came / step, 0.0)
    return float(np.clip(1 - inside[m], 0.0, 1.0))


def _checked(scores: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(scores, np.float64).ravel()
    if np.isnan(values).any():
        raise ParameterError("A score is not a number.")
    return values
