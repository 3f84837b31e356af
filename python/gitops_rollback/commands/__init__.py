"""One module per subcommand: parse options, call the layers below, show the result."""
