"""F-Fidelity without the model: how often pixels of a set are removed."""


def removal_probability(alpha: float, beta: float, pixels: int, chosen: int) -> float:
    """Probability that a pixel of a set is removed, such that no more than a share of all pixels is expected to be.

    Zheng et al., "F-Fidelity", 2025 (arXiv 2410.02970): min(alpha, beta * N / |E|).

    Args:
        alpha: Probability for a small set.
        beta: Share of all pixels.
        pixels: N, the number of all pixels.
        chosen: Size of E, the number of pixels in the set.

    Example:
        >>> removal_probability(0.5, 0.1, 100, 10), removal_probability(0.5, 0.1, 100, 50)
        (0.5, 0.2)
    """
    return min(alpha, beta * pixels / chosen)
