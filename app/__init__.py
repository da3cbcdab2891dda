"""The application: pure core, use cases, storage and the HTTP doors of Assentry."""
