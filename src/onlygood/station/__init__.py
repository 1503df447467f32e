"""The service at the line: images in by REST, folder or camera; decisions out, recorded before they are answered."""
