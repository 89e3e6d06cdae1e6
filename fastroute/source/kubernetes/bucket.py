"""Bucket: how often something may be done. It holds `burst` tokens and gets `rate` of them a second."""


class Bucket:
    """Times are seconds of any one clock that never goes back."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._level = burst
        self._at = 0.0

    def take(self, now: float, spare: float = 0.0) -> bool:
        """Takes a token if more than `spare` of them stay behind; whether it did."""
        self._fill(now)
        if self._level < 1 + spare:
            return False
        self._level -= 1
        return True

    def reserve(self, now: float) -> float:
        """Takes a token, also one that is yet to come; seconds until it is there."""
        self._fill(now)
        self._level -= 1
        return max(0.0, -self._level / self._rate)

    def _fill(self, now: float) -> None:
        self._level = min(self._burst, self._level + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)
