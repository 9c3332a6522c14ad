"""`smart-inventory evaluate`: the outlook on a retailer's own history, beside the baselines that it has to beat."""
