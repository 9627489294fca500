-- A table that is not replicated forgets its inserts. It wrote each down before its part stood on the disk, so a server that was killed
-- between the two knew the insert when it came again, dropped it, and said that it was stored. What comes twice is folded by the views.

ALTER TABLE runs MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE results MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE samples MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE noise MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE findings MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE capacities MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE capacity_steps MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE triage MODIFY SETTING non_replicated_deduplication_window = 0;
