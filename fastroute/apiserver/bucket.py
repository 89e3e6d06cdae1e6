"""Bucket: a token bucket, a rate limiter. It holds up to `burst` tokens and gets `rate` of them per second."""


class Bucket:
    """Times are in seconds of any monotonic clock."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._level = burst
        self._at = 0.0

    def take(self, now: float, spare: float = 0.0) -> bool:
        """Takes a token if at least `spare` tokens remain afterwards. Returns whether a token was taken."""
        self._fill(now)
        if self._level < 1 + spare:
            return False
        self._level -= 1
        return True

    def reserve(self, now: float) -> float:
        """Takes a token, possibly a future one. Returns the seconds until it is available."""
        self._fill(now)
        self._level -= 1
        return max(0.0, -self._level / self._rate)

    def _fill(self, now: float) -> None:
        self._level = min(self._burst, self._level + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)
