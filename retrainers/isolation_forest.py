"""``retrain_isolation_forest``: train the forest, judge it beside the active one, publish it if it is no worse."""

from retrainers.program import program

main = program("isolation_forest")

if __name__ == "__main__":
    main()
