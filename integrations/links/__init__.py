"""One-click links: GET shows the card, POST votes. Imports core, Starlette and itsdangerous."""
