"""Questions about registered versions: what was live and why, how two differ, whether one can be trained again."""
