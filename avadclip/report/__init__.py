"""The page: videos, their alarms, and the scores behind them. Without torch."""
