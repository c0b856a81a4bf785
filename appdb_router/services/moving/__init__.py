"""Moving the data of an app from one database to another, and back."""
