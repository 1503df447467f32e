"""Colours: the verdicts, and the ramp of the anomaly maps. All can be told apart with colour-blind eyes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onlygood.inspection import Verdict

RGB = tuple[int, int, int]

#: Background of each verdict's sign. The word always stands beside it: colour alone never carries the answer.
VERDICT_COLOURS: dict[Verdict, RGB] = {
    Verdict.OK: (0, 110, 96),
    Verdict.REVIEW: (242, 169, 0),
    Verdict.NG: (190, 30, 45),
}
#: Colour of the letters on it, with a contrast of at least 4.5.
VERDICT_INK: dict[Verdict, RGB] = {
    Verdict.OK: (255, 255, 255),
    Verdict.REVIEW: (33, 24, 0),
    Verdict.NG: (255, 255, 255),
}

# Violet to pale yellow, at equal steps of lightness (OKLab L from 0.40 to 0.94), so that equal steps of the
# score look equally large, in print and with any colour vision. Columns: lightness, green-red, blue-yellow.
_ANCHORS = np.array(
    [
        [0.400, 0.080, -0.130],
        [0.508, 0.165, -0.060],
        [0.616, 0.190, 0.060],
        [0.724, 0.110, 0.125],
        [0.832, 0.025, 0.150],
        [0.940, -0.030, 0.110],
    ]
)


def linear_light(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB in 0..1 to linear light (IEC 61966-2-1)."""
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _from_oklab(lab: NDArray[np.float64]) -> NDArray[np.uint8]:
    """OKLab (Ottosson 2020) `(n, 3)` to sRGB uint8."""
    to_cone = np.array(
        [
            [1.0, 0.3963377774, 0.2158037573],
            [1.0, -0.1055613458, -0.0638541728],
            [1.0, -0.0894841775, -1.2914855480],
        ]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip((lab @ to_cone.T) ** 3 @ to_rgb.T, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(srgb * 255).astype(np.uint8)


def _ramp(size: int = 256) -> NDArray[np.uint8]:
    at = np.linspace(0, len(_ANCHORS) - 1, size)
    return _from_oklab(np.stack([np.interp(at, np.arange(len(_ANCHORS)), column) for column in _ANCHORS.T], axis=1))


#: uint8 `(256, 3)`: the colour of an anomaly score from the threshold (0) to the top of the scale (255).
RAMP: NDArray[np.uint8] = _ramp()


def hexadecimal(rgb: RGB) -> str:
    """`#rrggbb`, as pages want it."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def ramp_gradient() -> str:
    """The ramp as the colours of a CSS gradient."""
    return ", ".join(hexadecimal((int(r), int(g), int(b))) for r, g, b in RAMP[:: len(RAMP) // 8])
