"""What people, programs and logs are told: help, results as text, tables, JSON and YAML."""
