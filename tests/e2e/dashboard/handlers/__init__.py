"""The handlers of the app that the dashboard's tests look at."""
