"""Numbers as people read them on a picture."""

from __future__ import annotations

from lit_coiba.pictures.scale import Scale

MINUS = "\N{MINUS SIGN}"


def rounded(number: float) -> str:
    """A number to three digits.

    Example:
        >>> rounded(1184.2), rounded(12.34), rounded(0.0001234)
        ('1,180', '12.3', '0.000123')
    """
    text = f"{float(f'{abs(number):.3g}'):,.0f}" if 1000 <= abs(number) < 1e7 else f"{abs(number):.3g}"
    return f"{MINUS}{text}" if number < 0 else text


def rounded_signed(number: float) -> str:
    """A number to three digits with its sign.

    Example:
        >>> rounded_signed(1.2345), rounded_signed(-0.5)
        ('+1.23', '\N{MINUS SIGN}0.5')
    """
    return rounded(number) if number < 0 else f"+{rounded(number)}"


def percent(probability: float) -> str:
    """A probability with as many digits as one wants to read.

    Example:
        >>> percent(0.954), percent(0.034), percent(0.0001)
        ('95%', '3.4%', '<0.1%')
    """
    if not 0 <= probability <= 1:
        return "?"
    if probability < 0.001:
        return "<0.1%"
    return f"{probability:.0%}" if probability >= 0.0995 else f"{probability:.1%}"


def spoken(scale: Scale, unit: str = "") -> str:
    """The ends of a scale.

    Example:
        >>> spoken(Scale(0.0, 826.4), " bits"), spoken(Scale(0.0, 2.0, True))
        ('0 to 826 bits', '\N{MINUS SIGN}2 to 2')
    """
    low = -scale.high if scale.signed else scale.low
    return f"{rounded(low)} to {rounded(scale.high)}{unit}"
