"""The page, the service and the static site: still to come. Sees `reading` only."""
