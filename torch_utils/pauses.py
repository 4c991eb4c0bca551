"""Moments between two steps at which a run may be saved or stopped."""


class NoPause:
    """A run that is neither stopped nor saved on its way: what `train_one_epoch` and `evaluate` ask by default."""

    def wish(self) -> int:
        """0, or a number above that says what is wished for."""
        return 0

    def grant(self, wish: int) -> None:
        """Do what was wished for; called in every process, with the highest of their wishes."""
