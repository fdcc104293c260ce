"""How the driver is used: connections, statements and values in its form, and what its errors mean."""
