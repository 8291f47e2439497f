"""What physicists do with trained networks beyond single tasks: density ratios, unfolding, anomaly
detection."""
