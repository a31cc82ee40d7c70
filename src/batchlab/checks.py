"""Checks of arguments, in one wording: the rule, the name and the value given."""


def at_least(minimum: int, **values: int) -> None:
    """Raises ValueError for the first of the named values that is smaller than the minimum."""
    for name, value in values.items():
        if value < minimum:
            raise ValueError(f"{name} must be at least {minimum}. Got {value} instead.")
