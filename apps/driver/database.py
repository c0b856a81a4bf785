"""Where this app's data lives when DRIVER_DATABASE_URL does not say otherwise."""

# A file of its own beside manage.py, so that even a laptop runs on two databases.
DATABASE_URL = "sqlite:///driver.sqlite3"
