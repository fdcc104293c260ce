"""Put right what went wrong: reap lost runs, arm, sweep, prune, measure."""
