BUDGET_WINDOW: int
BUDGET_SHARE: int
BUDGET_FLOOR: int

class RetryBudget:
    def note(self, now: int) -> None: ...
    def take(self, now: int) -> bool: ...
