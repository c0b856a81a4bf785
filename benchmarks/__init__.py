"""What routing and building the settings cost, beside the alternatives."""
