"""HTTP doors: REST and the dashboard. They parse, call a service and paint; they decide nothing."""
