"""How far maps can be trusted: faithfulness, randomisation, place, and the report on them."""
