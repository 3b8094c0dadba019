schema: '1.2'
contents:
  - core.fga
  - "%2e%2e%2fx.fga"
