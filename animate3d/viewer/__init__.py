"""Something to look at: the page that every run writes, the viewer and the app in a browser."""
