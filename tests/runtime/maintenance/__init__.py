"""Does the work in the background end: retention, deleted namespaces, visibility in a second database?"""
