"""What is deployed: image, stack and dashboard."""
