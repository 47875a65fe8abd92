"""What the API answers: the schemas of its OpenAPI document."""
