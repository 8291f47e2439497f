"""The training loop, optimisers, schedules, checkpoints and fine-tuning."""
