"""What the dashboards say, one module for each."""
