"""The embedded Airflow: its environment, its REST API, and the runs followed through it."""
