"""The OpenAPI document of the HTTP API, made from the models that its functions read and answer with."""
