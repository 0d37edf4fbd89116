"""Work in the background: retention, deleted namespaces, visibility in a second database."""
