-- The data of `echolane demo`: a small shop. Every value is derived from its row number, so each copy of it is the same.
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT, since TEXT);
CREATE TABLE products (id INTEGER PRIMARY KEY, title TEXT NOT NULL, category TEXT, price REAL, in_stock INTEGER, tags TEXT);
CREATE TABLE orders (
  id INTEGER PRIMARY KEY,
  customer INTEGER REFERENCES customers (id),
  product INTEGER REFERENCES products (id),
  quantity INTEGER,
  placed TEXT
);
CREATE VIEW revenue AS
  SELECT category, round(sum(quantity * price), 2) AS total FROM orders JOIN products ON products.id = orders.product GROUP BY category;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
INSERT INTO customers SELECT i, 'Customer ' || i, substr('OsloLimaRomeBaku', 1 + 4 * (i % 4), 4), date('2020-01-01', '+' || (i * 17) || ' days') FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120)
INSERT INTO products SELECT i, 'Product ' || i, substr('booktoolgametoys', 1 + 4 * (i % 4), 4), round(i * 1.37, 2), i % 7, json_array('t' || (i % 5), 't' || (i % 3)) FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
INSERT INTO orders SELECT i, 1 + (i * 7) % 60, 1 + (i * 13) % 120, 1 + i % 4, date('2024-01-01', '+' || (i % 365) || ' days') FROM n;
