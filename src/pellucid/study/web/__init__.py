"""The study in a browser: server-rendered pages, a little plain JavaScript, and an admin page behind a token."""
