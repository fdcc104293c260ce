"""The dashboard's views: each asks the runtime's services, within their bounds, and names its template."""
