"""The page that people look at: videos, the alarms in them, and why. No torch."""
