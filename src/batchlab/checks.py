"""Checks of arguments, in one wording: the rule, the name and the value given."""


def at_least(minimum: int, **values: int) -> None:
    """Raises ValueError for the first of the named values that is smaller than the minimum."""
    for name, value in values.items():
        if value < minimum:
            raise ValueError(f"{name} must be at least {minimum}. Got {value} instead.")


def at_most(maximum: int, **values: int) -> None:
    """Raises ValueError for the first of the named values that is larger than the maximum."""
    for name, value in values.items():
        if value > maximum:
            raise ValueError(f"{name} must be at most {maximum}. Got {value} instead.")
