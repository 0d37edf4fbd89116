"""Programs for those who work on perdure itself. The server imports none of them."""
