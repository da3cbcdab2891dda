"""What is known of services behind targets: presets as data, and their token endpoints."""
