"""Sample handlers: what the app runs until there is a package ``handlers``. Delete the folder when you need none."""
