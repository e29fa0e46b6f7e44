"""The data sets that verl's models train and are evaluated on."""
