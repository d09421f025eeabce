-- Payments by the hour of their records' times, in windows: what comes behind the watermark is left out, without a word. In a backfill
-- most of it does, for a refund's record has the refund's time and moves the watermark, and it does so in the source, before any WHERE.
-- Use commissions.sql's way wherever a key can have the hour. README.md says what this kept.

CREATE TABLE timed_orders (
  recorded TIMESTAMP_LTZ(3) METADATA FROM 'timestamp',
  WATERMARK FOR recorded AS recorded - INTERVAL '7' HOUR
) WITH (
  -- A partition without promoters has no time, and without this no window would ever end.
  'scan.watermark.idle-timeout' = '30s'
) LIKE orders;

SELECT window_start, COUNT(*) AS payments, SUM(paid_amount) AS fen
FROM TABLE(TUMBLE(TABLE timed_orders, DESCRIPTOR(recorded), INTERVAL '1' HOUR))
WHERE status = 'PAID'
GROUP BY window_start, window_end;
