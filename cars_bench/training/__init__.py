"""Head and training specs, losses, schedules, and the one training loop."""
