"""The signature of a class that hands the rest of its arguments on to the class that it derives from."""

from __future__ import annotations

from inspect import Parameter, Signature, signature


def whole_signature(kind: type) -> Signature:
    """The arguments of a class; where its constructor takes ``**name``, its base's that it does not have itself too.

    Example:
        >>> class Base:
        ...     def __init__(self, size: int, seed: int = 0) -> None: ...
        >>> class Derived(Base):
        ...     def __init__(self, size: int, weight: float = 1.0, **base: int) -> None: ...
        >>> list(whole_signature(Derived).parameters)
        ['size', 'weight', 'seed']
    """
    own = list(signature(kind.__init__).parameters.values())[1:]  # type: ignore[misc]
    if not own or own[-1].kind is not Parameter.VAR_KEYWORD:
        return Signature(own)
    known = {parameter.name for parameter in own[:-1]}
    inherited = [one for one in signature(kind.__mro__[1]).parameters.values() if one.name not in known]
    keyword = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in inherited]
    return Signature([*own[:-1], *keyword])
