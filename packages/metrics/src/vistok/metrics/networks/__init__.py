"""What numbers are measured in: pretrained networks, and what they give of images."""
